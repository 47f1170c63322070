// Runs the dispatcher against a real Express and compares what Express parsed with what was stored.
//   node express_test.js DISPATCHER      with PGHOST and the like naming an empty database
'use strict';

const assert = require('node:assert/strict');
const { execFile, spawn } = require('node:child_process');
const { createHash } = require('node:crypto');
const { once } = require('node:events');
const fs = require('node:fs');
const { promisify } = require('node:util');

const { createApp } = require('./handler.js');
const { oddCalls, quote } = require('./odd_calls.js');

const kCalls = 400;
const kAgents = ['agent-a', 'agent-b', 'agent "c"', 'агент-d'];
const kSecondsForAll = 60;

async function psql(sql) {
  const child = promisify(execFile)('psql', ['--no-psqlrc', '--quiet', '--no-align', '--tuples-only', '--set=ON_ERROR_STOP=1'],
    { maxBuffer: 1 << 26 });
  child.child.stdin.end(sql);
  return (await child).stdout.trim();
}

async function waitFor(condition, what, stillWorthIt) {
  const deadline = Date.now() + kSecondsForAll * 1000;
  while (!(await condition())) {
    stillWorthIt();
    assert.ok(Date.now() < deadline, `did not happen within ${kSecondsForAll} s: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

// What the contract says, written a second time.
function webhookId(callId) {
  const escaped = [...Buffer.from(callId)].map((byte) => {
    const character = String.fromCharCode(byte);
    return /[A-Za-z0-9_-]/.test(character) ? character : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`;
  }).join('');
  const id = `call_${escaped}`;
  return id.length <= 200 ? id : `call_${createHash('sha256').update(callId).digest('hex')}`;
}

async function main() {
  const dispatcherPath = process.argv[2];
  const seed = Number(process.env.EXPRESS_TEST_SEED ?? Date.now() % 1000000);
  console.log(`EXPRESS_TEST_SEED=${seed}`);
  await promisify(execFile)(dispatcherPath, ['migrate']);

  const received = [];
  const server = createApp((callId, _data, request) => received.push({ callId, ...request })).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const url = `http://127.0.0.1:${server.address().port}/webhook/call-completed`;

  const calls = oddCalls(kCalls, kAgents, seed);
  const settings = JSON.stringify({ webhooks: { postCall: url } });
  await psql(kAgents.map((id) => `INSERT INTO agents VALUES (${quote(id)}, ${quote(id)}, ${quote(settings)});`).join('\n'));
  await psql(calls.map((call) => call.sql).join('\n'));

  const dispatcher = spawn(dispatcherPath, ['run', '--egress-allow', '127.0.0.1/32', '--admin-listen', '127.0.0.1:0'],
    { stdio: ['ignore', 'ignore', 'pipe'] });
  let log = '';
  dispatcher.stderr.on('data', (bytes) => { log += bytes; });
  const ended = once(dispatcher, 'exit');
  const mustRun = () => assert.equal(dispatcher.exitCode, null, `the dispatcher ended early:\n${log}`);
  try {
    await waitFor(async () => await psql(`SELECT NOT EXISTS (SELECT FROM webhook_outbox)
      AND (SELECT count(*) FROM webhook_deliveries WHERE outcome <> 'in_flight') = ${kCalls};`) === 't',
    'every call has its row', mustRun);
    dispatcher.kill('SIGTERM');
    assert.deepEqual(await ended, [0, null], `the dispatcher did not exit with 0:\n${log}`);
  } finally {
    dispatcher.kill('SIGKILL');
    server.close();
    server.closeAllConnections();
  }

  assert.equal(await psql('SELECT outcome, http_status, error, count(*) FROM webhook_deliveries GROUP BY 1, 2, 3;'),
    `delivered|200||${kCalls}`);
  assert.equal(received.length, kCalls, 'one POST per call');
  const byId = new Map(received.map((request) => [request.callId, request]));
  assert.equal(byId.size, kCalls, 'no call twice');

  let digitsSeen = 0;
  for (const call of calls) {
    const request = byId.get(call.id);
    assert.ok(request, `${JSON.stringify(call.id)} did not arrive`);
    assert.equal(request.again, false);
    assert.deepStrictEqual(request.body, call.expected);
    assert.deepStrictEqual(Object.keys(request.body), Object.keys(call.expected), 'keys in order');
    for (const part of ['callerDetails', 'callAnalysis']) {
      assert.deepStrictEqual(Object.keys(request.body[part]), Object.keys(call.expected[part]), 'keys in order');
    }
    const text = request.rawBody.toString('utf8');
    for (const digits of call.digits) {
      assert.ok(text.includes(digits), `all digits of ${digits}`);
      ++digitsSeen;
    }
    if (call.exact) assert.equal(JSON.stringify(JSON.parse(text)), text, 'no other white space, escapes or order');
    assert.notEqual(request.rawBody[0], 0xef, 'no BOM');
    assert.equal(request.headers['content-type'], 'application/json');
    assert.equal(request.headers['content-length'], String(request.rawBody.length));
    assert.match(request.headers['user-agent'], /^postcall-dispatcher\/\d/);
    assert.equal(request.headers.accept, '*/*');
    assert.equal(request.headers['webhook-id'], webhookId(call.id));
    for (const absent of ['expect', 'accept-encoding', 'cookie', 'transfer-encoding', 'webhook-timestamp', 'webhook-signature']) {
      assert.equal(request.headers[absent], undefined, absent);
    }
  }
  assert.ok(digitsSeen > 0, 'the seed drew no long number');
  console.log(`Express parsed ${kCalls} payloads as they were stored, ${digitsSeen} long numbers with all their digits`);
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
