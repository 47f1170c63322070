// graphile-worker as a sender of webhooks, for the benchmark `graphile`: it POSTs the body of each job with undici. It
// has no log, no signature and no check of addresses.
//
//   node graphile.mjs migrate URL        makes its schema
//   node graphile.mjs run URL JOBS       ends after this many jobs and prints what they took as JSON
//
// It runs in the folder whose node_modules has both packages.
import { createRequire } from 'node:module';

const require = createRequire(`${process.cwd()}/`);
const { Logger, run, runMigrations, WorkerPreset } = require('graphile-worker');
const { Agent, request } = require('undici');

const [command, connectionString, count] = process.argv.slice(2);
const logger = new Logger(() => (level, message) => {
  if (level === 'error') console.error(message);
});

if (command === 'migrate') {
  await runMigrations({ connectionString, logger });
} else {
  const jobs = Number(count);
  const dispatcher = new Agent({ connections: 400 });
  let begin = null;
  let cpu = null;
  let done = 0;
  let failed = 0;
  let finish;
  const finished = new Promise((resolve) => (finish = resolve));
  const post = async ({ url, body }) => {
    if (begin === null) {
      begin = performance.now();
      cpu = process.cpuUsage();
    }
    const headers = { 'content-type': 'application/json' };
    const answer = await request(url, { method: 'POST', headers, body, dispatcher });
    await answer.body.dump();
    if (answer.statusCode !== 200) failed += 1;
    done += 1;
    if (done === jobs) finish({ seconds: (performance.now() - begin) / 1000, cpu: process.cpuUsage(cpu) });
  };
  const runner = await run({
    preset: {
      extends: [WorkerPreset],
      worker: { connectionString, concurrentJobs: 400, localQueue: { size: 800 }, completeJobBatchDelay: 5, logger },
    },
    taskList: { post },
    noHandleSignals: true,
  });
  const { seconds, cpu: used } = await finished;
  await runner.stop();
  await dispatcher.close();
  console.log(JSON.stringify({ jobs, failed, seconds, cpu_us: (used.user + used.system) / jobs }));
}
