// Calls with values that break a careless JSON writer: the SQL that stores each call, and the payload that JSON.parse
// must return for it. They are drawn from a seed, so that a failure can be repeated.
'use strict';

// mulberry32 is small and gives the same numbers everywhere.
function generator(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

const kOddTexts = [
  '', ' ', '"', '\\', '\\"', '\\u0041', '\\n', '/', '</script>', "'; DROP TABLE calls; --", '$$', ':name', '%s %n',
  '\u0001\u0002\u0008\t\n\u000b\f\r\u001f\u007f', '\u0080\u0085\u009f', '\u2028\u2029', '\ufeffBOM first', '\ufffe\uffff',
  '\u202eright to left', 'e\u0301 é', '\u200b\u200d\u2060', 'ﬀ ŉ İ ı ß', '\ud83d\udc69\u200d\ud83d\ude80 \ud83c\uddf5\ud83c\uddf1',
  '\ud800\udc00\udbff\udfff', '\u{1f600}\u{20000}\u{e0041}\u{10ffff}', 'null', 'true', '[1,2]', '{"a":1}', '1e5',
  '__proto__', 'constructor', 'x'.repeat(20000), '\u{1f642}'.repeat(5000),
];
// Numbers as SQL text. jsonb and JSON.parse each read them, and the results must agree.
const kOddNumbers = [
  '0', '-1', '85', '92.5', '1.10', '0.1', '9007199254740993', '-9223372036854775808', '18446744073709551615',
  '123456789012345678901234567890', '0.1000000000000000055511151231257827021181583404541015625', '1e21', '1E-7',
  '1.7976931348623157e308', '5e-324', '1e400', '3.141592653589793238462643383279502884197169399375',
];
// Those that PostgreSQL and JavaScript write alike.
const kExactNumbers = ['0', '-1', '85', '92.5', '0.1', '0.000001', '9007199254740991'];
const kDetails = [
  ['name', 'name'], ['phoneNumber', 'phone_number'], ['email', 'email'], ['scheduledTime', 'scheduled_time'],
  ['address', 'address'], ['pincode', 'pincode'], ['city', 'city'], ['state', 'state'], ['country', 'country'],
  ['age', 'age'], ['gender', 'gender'], ['occupation', 'occupation'], ['company', 'company'],
  ['preferredContactMethod', 'preferred_contact_method'], ['bestTimeToCall', 'best_time_to_call'],
  ['language', 'language'],
];
const kAnalysisTexts = [['summary', 'summary'], ['mood', 'mood']];
const kAnalysisOutcomes = [['callOutcome', 'call_outcome'], ['classification', 'classification']];
const kAnalysisJson = [
  ['interestsAndNeeds', 'interests_and_needs'], ['actionItems', 'action_items'], ['sentiment', 'sentiment'],
];

// Counts code points, so that no surrogate pair is cut in two.
const firstOf = (text, count) => [...text].slice(0, count).join('');
const quote = (text) => `'${text.replaceAll("'", "''")}'`;

class Writer {
  constructor(seed) {
    this.random = generator(seed);
    // With it, JSON.stringify writes what JSON.parse read: no number that it writes in another way, and no key that looks
    // like an index, because such keys come first in a JavaScript object.
    this.exact = false;
  }

  number() {
    return this.oneOf(this.exact ? kExactNumbers : kOddNumbers);
  }

  below(limit) {
    return Math.floor(this.random() * limit);
  }

  oneOf(list) {
    return list[this.below(list.length)];
  }

  // Any text that PostgreSQL can store: no NUL and no single half of a surrogate pair.
  text() {
    if (this.random() < 0.5) return this.oneOf(kOddTexts);
    let text = '';
    for (let left = this.below(40); left > 0; --left) {
      const plane = this.oneOf([0x80, 0x800, 0x10000, 0x110000]);
      let point = 1 + this.below(plane - 1);
      if (point >= 0xd800 && point <= 0xdfff) point = 0xe000;
      text += String.fromCodePoint(point);
    }
    return text;
  }

  // JSON text and not a JavaScript value, which would lose digits before they are sent.
  json(depth = 0) {
    const kind = this.below(depth > 3 ? 4 : 6);
    if (kind === 0) return this.oneOf(['null', 'true', 'false']);
    if (kind === 1) return JSON.stringify(this.text());
    if (kind <= 3) return this.number();
    const items = Array.from({ length: this.below(4) }, () => this.json(depth + 1));
    if (kind === 4) return `[${items.join(',')}]`;
    // All keys differ, because of two equal keys only the last would be kept.
    const before = this.exact ? 'k' : '';
    const keys = items.map((_, n) => JSON.stringify(before + firstOf(this.text(), 50) + (n || '')));
    return `{${items.map((item, n) => `${keys[n]}:${item}`).join(',')}}`;
  }

  // A column and its value; no entry when the value is to be NULL.
  maybe(make) {
    return this.random() < 0.25 ? undefined : make();
  }
}

function oddCall(writer, id, agentId) {
  const expected = { callId: id };
  const columns = {};
  for (const [key, column] of [['recordingUri', 'recording_uri'], ['transcriptUri', 'transcript_uri']]) {
    const text = writer.maybe(() => writer.text());
    columns[column] = text === undefined ? 'NULL' : quote(text);
    if (text !== undefined) expected[key] = text;
  }

  const details = {};
  const detailColumns = {};
  for (const [key, column] of kDetails) {
    const text = writer.maybe(() => writer.text());
    if (text === undefined) continue;
    details[key] = text;
    detailColumns[column] = quote(text);
  }

  const analysis = {};
  const analysisColumns = {};
  const digits = [];
  const addTexts = (fields) => {
    for (const [key, column] of fields) {
      const text = writer.maybe(() => writer.text());
      if (text === undefined) continue;
      analysis[key] = text;
      analysisColumns[column] = quote(text);
    }
  };
  addTexts(kAnalysisTexts);
  const score = writer.maybe(() => writer.oneOf([writer.number(), writer.number(), writer.number(), 'NaN', 'Infinity', '-Infinity']));
  if (score !== undefined) {
    analysisColumns.score = quote(score);
    if (!/[NI]/.test(score)) analysis.score = Number(score);
    if (/^\d{20,}$/.test(score)) digits.push(score);
  }
  addTexts(kAnalysisOutcomes);
  for (const [key, column] of kAnalysisJson) {
    const json = writer.maybe(() => writer.json());
    if (json === undefined) continue;
    analysis[key] = JSON.parse(json);
    analysisColumns[column] = quote(json);
    for (const number of json.match(/(?<=^|[[:,])\d{20,}(?=[\],}]|$)/g) ?? []) digits.push(number);
  }

  const insert = (table, values) =>
    `INSERT INTO ${table} (${Object.keys(values).join(', ')}) VALUES (${Object.values(values).join(', ')});`;
  const rows = [];
  if (writer.random() < 0.9) {
    expected.callerDetails = details;
    rows.push(insert('caller_details', { call_id: quote(id), ...detailColumns }));
  } else {
    expected.callerDetails = {};
  }
  if (writer.random() < 0.9) {
    expected.callAnalysis = analysis;
    rows.push(insert('call_analysis', { call_id: quote(id), ...analysisColumns }));
  } else {
    expected.callAnalysis = {};
    digits.length = 0;
  }

  // The status is written before or after the details and the analysis; in one transaction the result is the same.
  const call = { id: quote(id), agent_id: quote(agentId), ...columns };
  const sql = writer.random() < 0.5
    ? ['BEGIN;', insert('calls', { ...call, status: "'completed'" }), ...rows, 'COMMIT;']
    : ['BEGIN;', insert('calls', { ...call, status: "'in_progress'" }), ...rows,
      `UPDATE calls SET status = 'completed' WHERE id = ${quote(id)};`, 'COMMIT;'];
  return { id, sql: sql.join('\n'), expected, digits, exact: writer.exact };
}

function oddCalls(count, agentIds, seed) {
  const writer = new Writer(seed);
  return Array.from({ length: count }, (_, n) => {
    // Ids may have the same odd text.
    const id = n % 10 === 0 ? `call ${n} ${firstOf(writer.text(), 30)}` : `call-${n}`;
    writer.exact = n % 4 === 1;
    return oddCall(writer, id, agentIds[n % agentIds.length]);
  });
}

module.exports = { oddCalls, quote };
