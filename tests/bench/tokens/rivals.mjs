// SPDX-License-Identifier: MIT
//
// CPU time of other tokenizers, cl100k_base, on the files that tokens.c measures: in pieces of 4 KB, the
// quickest of the rounds. FOLDER is where they are installed; `run` beside this file does that.
//
//   node tests/bench/tokens/rivals.mjs FOLDER FILE…

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { resolve } from 'node:path';

const [folder, ...files] = process.argv.slice(2);
const require = createRequire(resolve(folder, 'x.js'));
const PIECE = 4096;
const ROUNDS = 20;

const makers = {
  'gpt-tokenizer': () => {
    const { countTokens } = require('gpt-tokenizer/encoding/cl100k_base');
    return (text) => countTokens(text, { disallowedSpecial: new Set() });
  },
  tiktoken: () => {
    const encoding = require('tiktoken').get_encoding('cl100k_base');
    return (text) => encoding.encode_ordinary(text).length;
  },
};

function cpuMicroseconds() {
  const { user, system } = process.cpuUsage();
  return user + system;
}

function measure(count, text) {
  let tokens = 0;
  let best = Infinity;
  for (let round = 0; round < ROUNDS; round++) {
    tokens = 0;
    const start = cpuMicroseconds();
    for (let at = 0; at < text.length; at += PIECE) {
      tokens += count(text.slice(at, at + PIECE));
    }
    best = Math.min(best, cpuMicroseconds() - start);
  }
  return [tokens, Buffer.byteLength(text) / best];
}

for (const [name, make] of Object.entries(makers)) {
  const count = make();
  for (const file of files) {
    const [tokens, speed] = measure(count, readFileSync(file, 'utf8'));
    console.log(`${file} ${name}: ${tokens} tokens, ${speed.toFixed(1)} MB/s`);
  }
}
