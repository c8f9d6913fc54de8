import { beforeEach, describe, expect, it, vi } from "vitest";
import { change } from "../src/api";
import { Refused } from "../src/refused";
import { changing } from "../src/changes";
import { draft, forgetDrafts } from "../src/drafts";
import { chosen, read } from "../src/pictures";

const later = <T>(): { promise: Promise<T>; done: (value: T) => void; failed: (why: Error) => void } => {
  let done!: (value: T) => void;
  let failed!: (why: Error) => void;
  const promise = new Promise<T>((yes, no) => ([done, failed] = [yes, no]));
  return { promise, done, failed };
};

describe("a change", () => {
  it("waits, is shown as it will be, and is done", async () => {
    const { now, attempt } = changing();
    const asked = later<string>();
    const seen: string[] = [];
    const over = attempt({ ask: () => asked.promise, show: () => seen.push("shown"), done: (told) => seen.push(told), back: () => seen.push("back") });
    expect([now.state, seen]).toEqual(["waiting", ["shown"]]);
    asked.done("told");
    await over;
    expect([now.state, seen]).toEqual(["done", ["shown", "told"]]);
  });
  it("goes back when it fails, says why, and can be tried again", async () => {
    const { now, attempt } = changing();
    const ask = vi.fn().mockRejectedValueOnce(new Error("a reason")).mockResolvedValue("told");
    const back = vi.fn();
    await attempt({ ask, back });
    expect([now.state, now.reason, back.mock.calls.length]).toEqual(["failed", "a reason", 1]);
    now.again();
    await vi.waitFor(() => expect(now.state).toBe("done"));
    expect(now.reason).toBe("");
  });
  it("does not go back where a later one has been tried meanwhile", async () => {
    const { now, attempt } = changing();
    const [first, second] = [later<string>(), later<string>()];
    const back = vi.fn();
    const over = [attempt({ ask: () => first.promise, back }), attempt({ ask: () => second.promise })];
    first.failed(new Error("too late to matter"));
    await over[0];
    expect([now.state, back.mock.calls.length]).toEqual(["waiting", 0]);
    second.done("told");
    await over[1];
    expect(now.state).toBe("done");
  });
});

describe("a change that is asked for", () => {
  const answers = (...given: [number, unknown][]): ReturnType<typeof vi.fn> => {
    const fetched = vi.fn();
    for (const [status, body] of given) fetched.mockResolvedValueOnce(new Response(JSON.stringify(body), { status }));
    vi.stubGlobal("fetch", fetched);
    return fetched;
  };
  const refused = (status: number, detail = ""): [number, unknown] => [status, { error: { message: `no ${status}`, detail } }];
  beforeEach(() => {
    document.head.innerHTML = '<meta name="csrf-token" content="old"><meta name="whose" content="7">';
  });
  it("goes on with a renewed token", async () => {
    const fetched = answers(refused(400, "token"), [200, { who: "7", token: "new" }], [200, { kept: true }]);
    expect(await change("PUT", "/labels/x", {})).toEqual({ kept: true });
    expect(fetched.mock.calls.map(([path]) => path)).toEqual(["/api/v1/labels/x", "/session", "/api/v1/labels/x"]);
    expect((fetched.mock.calls[2]![1] as { headers: Record<string, string> }).headers["X-CSRFToken"]).toBe("new");
  });
  it("is not repeated after any other refusal", async () => {
    for (const [status, detail] of [[400, ""], [403, ""], [409, "token"], [422, ""], [503, ""]] as const) {
      const fetched = answers(refused(status, detail));
      await expect(change("PUT", "/labels/x", {})).rejects.toThrow(`no ${status}`);
      expect(fetched).toHaveBeenCalledTimes(1);
    }
  });
  it("is not made for somebody else who has logged in", async () => {
    const fetched = answers(refused(400, "token"), [200, { who: "8", token: "theirs" }]);
    await expect(change("POST", "/jobs", {})).rejects.toThrow("Somebody else");
    expect(fetched).toHaveBeenCalledTimes(2);
  });
  it("asks nobody to log in for what nobody clicked", async () => {
    answers(refused(401));
    await expect(change("POST", "/confs/preview", {}, true)).rejects.toMatchObject({ status: 401 });
    expect(document.querySelector("dialog")).toBeNull();
  });
  it("says that the site cannot be reached", async () => {
    vi.stubGlobal("fetch", vi.fn().mockRejectedValue(new TypeError("Failed to fetch")));
    await expect(change("DELETE", "/forecasts/1")).rejects.toMatchObject({ status: 0, message: expect.stringContaining("cannot be reached") as string });
    expect(new Refused(0, "x")).toBeInstanceOf(Error);
  });
});

describe("a draft", () => {
  beforeEach(() => {
    sessionStorage.clear();
    document.head.innerHTML = '<meta name="whose" content="7">';
  });
  it("belongs to a person, a page and a form", () => {
    draft<string>("conf").write("mine");
    expect(draft("conf").read()).toBe("mine");
    expect(draft("other").read()).toBeUndefined();
    expect(draft("conf", "/another/page").read()).toBeUndefined();
    document.head.innerHTML = '<meta name="whose" content="8">';
    expect(draft("conf").read()).toBeUndefined();
  });
  it("is forgotten with all others when somebody leaves, and nonsense is none", () => {
    sessionStorage.setItem("something else", "stays");
    draft<string>("conf").write("mine");
    forgetDrafts();
    expect([draft("conf").read(), sessionStorage.getItem("something else")]).toEqual([undefined, "stays"]);
    sessionStorage.setItem("draft:7:p#conf", "{nonsense");
    expect(draft("conf", "p").read()).toBeUndefined();
  });
});

describe("chosen pictures", () => {
  const file = (name: string, folder = ""): File => {
    const made = new File(["x"], name);
    Object.defineProperty(made, "webkitRelativePath", { value: folder && `${folder}/${name}` });
    return made;
  };
  it("are all that were chosen one by one, and of a folder those that look like pictures, in order", () => {
    const found = chosen([file("10.jpg", "a"), file("notes.txt", "a"), file("9.HEIC", "a"), file("anything")]);
    expect(found.pictures.map((one) => one.name)).toEqual(["anything", "9.HEIC", "10.jpg"]);
    expect([found.others, found.closed]).toEqual([1, []]);
  });
  it("say what failed when they cannot be read, or are too large", async () => {
    const gone = { name: "gone.jpg", open: () => Promise.reject(new DOMException("", "NotFoundError")) };
    await expect(read(gone)).rejects.toThrow("changed, moved or deleted");
    await expect(read(chosen([file("large.jpg")]).pictures[0]!, 0)).rejects.toThrow("too large");
    expect(await (await read(chosen([file("good.jpg")]).pictures[0]!)).text()).toBe("x");
  });
});
