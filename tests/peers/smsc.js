// node-smpp as an SMS centre: what it hears goes, as node-smpp reads it, to a file of JSON lines.
//
//   node smsc.js '{"modules": "…/node_modules", "heard": "…", "ready": "…",
//                  "key": "…", "cert": "…", "receipts": "tlv" | "text"}'
//
// Every text is node-smpp's own reading of one part; a message is written when all of its parts are
// there. Receipts name the message by parameters (`tlv`), or only in their text and in decimal,
// while the submit's answer said it in hexadecimal (`text`), as many a carrier does. A line of JSON
// on stdin, {"from", "ton", "to", "text"}, is sent as a person's message, in as many parts as it
// takes; with "data_coding" in one, as node-smpp writes it under that. It ends when stdin is closed.

'use strict';

const fs = require('fs');
const path = require('path');

const options = JSON.parse(process.argv[2]);
const smpp = require(path.join(options.modules, 'smpp'));

const CONCATENATED = 0x00;
const RECEIPT = 0x04;
const DELIVERED = 2;
const UCS2 = 8;
const UCS2_PART = 67;

const open = new Map();
const sessions = new Set();
let last = 0x1f000000;
let reference = 0;

function write(line) {
  fs.appendFileSync(options.heard, JSON.stringify(line) + '\n');
}

function date() {
  return new Date().toISOString().replace(/\D/g, '').slice(2, 14);
}

function answer(session, pdu) {
  const number = ++last;
  const textOnly = options.receipts === 'text';
  const id = textOnly ? number.toString(16) : `n-${number}`;
  session.send(pdu.response({ message_id: id }));
  if (!(pdu.registered_delivery & 1)) return;
  const named = textOnly ? number.toString(10) : id;
  const receipt = {
    source_addr: pdu.destination_addr,
    source_addr_ton: pdu.dest_addr_ton,
    source_addr_npi: pdu.dest_addr_npi,
    destination_addr: pdu.source_addr,
    dest_addr_ton: pdu.source_addr_ton,
    dest_addr_npi: pdu.source_addr_npi,
    esm_class: RECEIPT,
    short_message:
      `id:${named} sub:001 dlvrd:001 submit date:${date()} done date:${date()} ` +
      'stat:DELIVRD err:000 text:',
  };
  if (!textOnly) Object.assign(receipt, { receipted_message_id: id, message_state: DELIVERED });
  setTimeout(() => session.deliver_sm(receipt), 20);
}

function hear(pdu) {
  const udh = pdu.short_message.udh || [];
  const place = udh.find((element) => element[0] === CONCATENATED);
  const [number, total, at] = place ? [place[2], place[3], place[4]] : [0, 1, 1];
  const key = [pdu.source_addr, pdu.destination_addr, pdu.data_coding, number, total].join('/');
  const parts = open.get(key) || new Map();
  open.set(key, parts.set(at, pdu.short_message.message));
  if (parts.size < total) return;
  open.delete(key);
  write({
    to: pdu.destination_addr,
    to_ton: pdu.dest_addr_ton,
    from: pdu.source_addr,
    from_ton: pdu.source_addr_ton,
    data_coding: pdu.data_coding,
    tables: udh.filter((one) => one[0] === 0x24 || one[0] === 0x25).map((one) => one[2]),
    valid_until: pdu.validity_period instanceof Date ? pdu.validity_period.getTime() : null,
    parts: Array.from({ length: total }, (_, index) => parts.get(index + 1)),
  });
}

function say({ from, ton, to, text, data_coding }) {
  const [session] = sessions;
  const most = data_coding === undefined ? UCS2_PART : text.length;
  const cut = [];
  for (let at = 0; at < text.length; at += most) cut.push(text.slice(at, at + most));
  reference += 1;
  cut.forEach((message, index) => {
    session.deliver_sm({
      source_addr: from,
      source_addr_ton: ton,
      source_addr_npi: 1,
      destination_addr: to,
      data_coding: data_coding === undefined ? UCS2 : data_coding,
      short_message:
        cut.length > 1
          ? { udh: Buffer.from([5, 0, 3, reference, cut.length, index + 1]), message }
          : { message },
    });
  });
}

const secured = options.key
  ? { key: fs.readFileSync(options.key), cert: fs.readFileSync(options.cert) }
  : {};
const server = smpp.createServer(secured, (session) => {
  session.on('error', () => session.destroy());
  session.on('close', () => sessions.delete(session));
  session.on('bind_transceiver', (pdu) => {
    const right = pdu.password === 'secret';
    session.send(pdu.response(right ? { system_id: 'node-smpp' } : { command_status: 0x0e }));
    if (right) sessions.add(session);
  });
  session.on('enquire_link', (pdu) => session.send(pdu.response()));
  session.on('unbind', (pdu) => {
    session.send(pdu.response());
    session.close();
  });
  session.on('submit_sm', (pdu) => {
    hear(pdu);
    answer(session, pdu);
  });
});

server.listen(0, '127.0.0.1', () => {
  fs.writeFileSync(`${options.ready}.new`, String(server.address().port));
  fs.renameSync(`${options.ready}.new`, options.ready);
});

let held = '';
process.stdin.on('data', (octets) => {
  const lines = (held + octets).split('\n');
  held = lines.pop();
  lines.forEach((line) => say(JSON.parse(line)));
});
process.stdin.on('end', () => process.exit(0));
