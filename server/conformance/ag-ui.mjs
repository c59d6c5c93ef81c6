// Every event of every branch has to pass the schemas and the order checks of the protocol, exported and served alike.
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { verifyEvents } from "@ag-ui/client";
import { EventSchemas } from "@ag-ui/core/schemas";
import { from, lastValueFrom } from "rxjs";
import { toArray } from "rxjs/operators";

const [retold, store, served] = process.argv.slice(2);
const run = (...args) =>
  execFileSync(retold, ["--store", store, ...args], { encoding: "utf8", maxBuffer: 1 << 30, stdio: ["ignore", "pipe", "inherit"] });
const lines = (text) => text.split("\n").filter((line) => line.length > 0);
const url = JSON.parse(lines(readFileSync(served, "utf8"))[0]).urls[0];

/** The events of a served branch, up to where everything that is recorded was told. */
async function streamed(session, branch) {
  const path = `/v1/sessions/${encodeURIComponent(session)}/branches/${encodeURIComponent(branch)}/ag-ui`;
  const leave = new AbortController();
  const answer = await fetch(url + path, { signal: leave.signal });
  if (answer.status !== 200) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
  let text = "";
  for await (const bytes of answer.body.pipeThrough(new TextDecoderStream())) {
    text += bytes;
    if (text.includes("\n: caught up\n")) break;
  }
  leave.abort();
  return lines(text).filter((line) => line.startsWith("data: ")).map((line) => line.slice(6));
}

let events = 0;
const types = new Map();
const wrong = [];
let branches = 0;
for (const { session } of lines(run("sessions", "--limit", "100000", "-o", "jsonl")).map(JSON.parse)) {
  for (const { branch } of lines(run("branches", session, "-o", "jsonl")).map(JSON.parse)) {
    const place = `${session}/${branch}`;
    const exported = lines(run("export", place, "--to", "ag-ui"));
    branches += 1;
    const parsed = [];
    exported.forEach((line, n) => {
      events += 1;
      const event = JSON.parse(line);
      types.set(event.type, (types.get(event.type) ?? 0) + 1);
      const result = EventSchemas.safeParse(event);
      if (result.success) parsed.push(result.data);
      else wrong.push(`${place}, line ${n + 1}: ${result.error.message}\n${line.slice(0, 300)}`);
    });
    try {
      await lastValueFrom(from(parsed).pipe(verifyEvents(), toArray()), { defaultValue: [] });
    } catch (error) {
      wrong.push(`${place}: ${error.message}`);
    }
    // What is served ends where the next event would come; an export ends what is open.
    const live = await streamed(session, branch);
    if (JSON.stringify(live) !== JSON.stringify(exported.slice(0, live.length)) || live.length === 0) {
      wrong.push(`${place}: what is served differs from what is exported`);
    }
  }
}
for (const [type, count] of [...types].sort()) console.log(`${String(count).padStart(8)} ${type}`);
console.log(`${events} events of ${branches} branches; ${wrong.length} wrong`);
for (const one of wrong.slice(0, 20)) console.error(one);
process.exit(wrong.length === 0 && events > 0 ? 0 : 1);
