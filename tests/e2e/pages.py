"""Every page of the site: where it is, what on it says that it is all there, and whether one has to log in for it."""

from dataclasses import dataclass

ADMIN = ("admin@126.com", "admin")  # of the demo


@dataclass(frozen=True)
class Page:
    """A page at `path`, whole once something fits the selector `shows`; `{job}` stands for a training's number."""

    name: str
    path: str
    shows: str
    log_in: bool = True


PAGES = (
    Page("home", "/home?pair=conf_f10,conf_alone", ".chart", log_in=False),
    Page("run", "/runs/conf_f10", ".chart", log_in=False),
    Page("number", "/runs/conf_diabetes_f10", ".foretold", log_in=False),
    Page("digits", "/runs/conf_digits_f10", ".confusion", log_in=False),
    Page("characters", "/runs/conf_dialogue_speakers", ".confusion-map", log_in=False),
    Page("studies", "/studies", ".study-card", log_in=False),
    Page("study", "/studies/server_optimisers", ".chart", log_in=False),
    Page("tasks", "/tasks", ".task-card", log_in=False),
    Page("task", "/tasks/1", ".versions", log_in=False),
    Page("at home", "/tasks/1/train", ".own", log_in=False),
    Page("forecast", "/forecast", ".samples img", log_in=False),
    Page("detect", "/detect", ".detect-ready", log_in=False),
    Page("why", "/why", ".round", log_in=False),
    Page("needs", "/why/needs", ".study-card", log_in=False),
    Page("login", "/login", "main form", log_in=False),
    Page("register", "/register", "main form", log_in=False),
    Page("missing", "/nothing", "h1", log_in=False),
    Page("trainings", "/jobs", ".state"),
    Page("training", "/jobs/{job}", ".log li"),
    Page("describe", "/confs/new?job={job}", ".conf-outcome table"),
    Page("own task", "/tasks/1", "#publisher"),
    Page("own rows", "/tasks/2/train", ".own"),
    Page("publish", "/tasks/new", ".publish"),
    Page("edit task", "/tasks/1/edit", ".publish"),
    Page("nodes", "/nodes", "#invite"),
    Page("profile", "/profile", "main form"),
    Page("people", "/admin/people", "table"),
    Page("invites", "/admin/invites", "main form"),
    Page("hidden", "/admin/runs", "table"),
    Page("corrections", "/admin/forecasts", "h1"),
    Page("audit", "/admin/audit", "table"),
)


def log_in(page, email=ADMIN[0], password=ADMIN[1]):
    """By the form, in whatever language the page is."""
    page.goto("/login")
    page.locator("#email").fill(email)
    page.locator("#password").fill(password)
    page.locator("#password").press("Enter")
    page.wait_for_url("**/home")


def show(page, one, job=1):
    """Open the page `one` and wait until all of it is there, charts included, which phones draw when they come near."""
    page.goto(one.path.format(job=job))
    page.locator(one.shows).first.wait_for(timeout=60_000)
    for chart in page.locator(".chart").all():
        chart.scroll_into_view_if_needed()
        chart.locator(".main-svg").first.wait_for(timeout=60_000)
    page.evaluate("scrollTo(0, 0)")
