// Drives Chromium for the end-to-end tests: each line of standard input is a command, and gets a line of JSON as its
// answer, `{"value": …}` or `{"error": "…"}`. It ends with its standard input, and the browser with it.
//
//     {"do": "go", "url": URL}                        the status of the page that comes in the end
//     {"do": "fill", "label": TEXT, "text": TEXT}
//     {"do": "press", "name": TEXT, "then": TEXT}     waits until the address has `then` in it
//     {"do": "address"}, {"do": "text"}, {"do": "cookies", "url": URL}
//     {"do": "evaluate", "expression": TEXT}          the value, also that of a promise
//
// NOCRD_TEST_CHROMIUM names the program, where it is not `/usr/bin/chromium`.

import process from "node:process";
import { createInterface } from "node:readline";
import { chromium } from "playwright-core";

// Long enough for a busy machine; nothing waits that long when all is well.
const PATIENCE_MS = 120_000;

const browser = await chromium.launch({
  executablePath: process.env.NOCRD_TEST_CHROMIUM ?? "/usr/bin/chromium",
  // The tests often run as root, or in a container without a shared memory of its own.
  args: ["--no-sandbox", "--disable-dev-shm-usage", "--no-proxy-server"],
  timeout: PATIENCE_MS,
});
const page = await browser.newPage();
page.setDefaultTimeout(PATIENCE_MS);

const commands = {
  go: async ({ url }) => (await page.goto(url)).status(),
  fill: ({ label, text }) => page.getByLabel(label).fill(text),
  press: async ({ name, then }) => {
    await page.getByRole("button", { name, exact: true }).click({ noWaitAfter: true });
    await page.waitForURL((url) => url.href.includes(then));
  },
  address: () => page.url(),
  text: () => page.innerText("body"),
  cookies: ({ url }) => page.context().cookies(url),
  evaluate: ({ expression }) => page.evaluate(expression),
};

for await (const line of createInterface({ input: process.stdin })) {
  const { do: name, ...args } = JSON.parse(line);
  let answer;
  try {
    answer = { value: (await commands[name](args)) ?? null };
  } catch (error) {
    answer = { error: String(error) };
  }
  console.log(JSON.stringify(answer));
}
await browser.close();
