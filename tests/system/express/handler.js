// A customer's endpoint, as the public description of the webhook shows it: it answers at once, processes the call
// later, and processes no call twice. `processCallData(callId, data, request)` is the customer's own code.
'use strict';

const express = require('express');

function createApp(processCallData) {
  const app = express();
  const seen = new Set();

  // Keeps the bytes as well as the parsed body, so that a test can check both.
  app.use(express.json({ limit: '1mb', verify: (req, _res, bytes) => { req.rawBody = bytes; } }));

  app.post('/webhook/call-completed', (req, res) => {
    // Acknowledge receipt immediately
    res.status(200).json({ received: true });

    // Process asynchronously
    const { callId, recordingUri, transcriptUri, callerDetails, callAnalysis } = req.body;
    const again = seen.has(callId);
    seen.add(callId);
    setImmediate(() => {
      processCallData(callId, { recordingUri, transcriptUri, callerDetails, callAnalysis },
        { again, body: req.body, rawBody: req.rawBody, headers: req.headers });
    });
  });

  return app;
}

module.exports = { createApp };
