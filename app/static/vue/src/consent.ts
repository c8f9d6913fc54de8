// The text that a publisher may begin from when asking for consent, in both languages: content, so it stays in the one that is chosen.
import type { Typed } from "./describing";

export type Language = "en" | "zh";

/** What people agree to, made from the choices of the form. Markdown. */
export function consentText(typed: Typed, language: Language): string {
  return (language === "zh" ? chinese : english)(typed);
}

/** The language of a text that was made so and not changed since. */
export const madeIn = (typed: Typed): Language | undefined => (["en", "zh"] as const).find((one) => consentText(typed, one) === typed.consent.trim());

const noLimit = (value: string): boolean => !(Number(value) > 0);

function english(typed: Typed): string {
  const data = typed.input === "picture" ? "pictures" : "rows of values";
  const most = noLimit(typed.limits.trainings) ? "as many updates as you like" : `at most ${typed.limits.trainings} updates`;
  return `## What is computed
Your device trains the model of this task on your own ${data} and their answers. What that changed in the model, a list of numbers, is the *update*.

## What leaves your device
Only updates, and with each: of how many examples it is, in how many steps, with what mean loss. You may send ${most}. **Your ${data} and answers stay with you.** Still, an update is made of your examples, and who has it could try to guess at them; your program can clip it and add noise before it is sent.

## Who sees what
The publisher and other participants see a made-up name in place of yours. The publisher sees when an update came, its size, and what it was worth to the model. No page shows the update itself; whoever runs this site's machine could read it.

## What becomes of it
Updates are folded with those of others into the next version of the model, which everybody may use. Updates are deleted after ${typed.keep_days || "30"} days at the latest.${typed.credits ? " What yours were worth on test examples is counted as credits." : ""}

## How to leave
On the page of the task, or by the program, at any time and without saying why. Updates that still wait are then deleted. **What is in a version of the model already cannot be taken out of it.**`;
}

function chinese(typed: Typed): string {
  const data = typed.input === "picture" ? "图片" : "数据行";
  const most = noLimit(typed.limits.trainings) ? "您可以发送任意多次更新" : `您最多可以发送 ${typed.limits.trainings} 次更新`;
  return `## 计算什么
您的设备用您自己的${data}及其答案训练本任务的模型。训练使模型发生的变化是一串数字，称为*更新*。

## 哪些内容会离开您的设备
只有更新，以及每次更新所用的样本数、训练步数和平均损失。${most}。**您的${data}和答案留在您自己手里。**尽管如此，更新是由您的样本得出的，拿到它的人可能试图猜测这些样本；您的程序可以在发送前对它进行裁剪并加入噪声。

## 谁能看到什么
发布者和其他参与者看到的是一个化名，而不是您的名字。发布者能看到更新何时到达、有多大、对模型有多少价值。没有任何页面展示更新本身；但运行本站机器的人有能力读取它。

## 之后会怎样
更新与他人的更新合并成模型的下一个版本，所有人都可以使用。更新最迟在 ${typed.keep_days || "30"} 天后删除。${typed.credits ? "您的更新在测试样本上的价值会计为积分。" : ""}

## 如何退出
随时可以在任务页面上或通过程序退出，无需说明理由。仍在等待的更新随即删除。**已经进入模型某个版本的内容无法再取出。**`;
}
