// Real clients: each user's connection subscribes to that user's channel and says what it gets, a JSON object a line.
// The first line of stdin is { url, namespace, tokens, page }; each further one { do: "disconnect" | "connect", users }.
// With `page` they do as the page of the docs does: they read the history where they cannot catch up, and know a message
// that they have had.
import { Centrifuge } from "centrifuge";
import { createInterface } from "node:readline";

const PATIENCE = 30_000;
const TOGETHER = 50;

const say = (event, user, more = {}) => process.stdout.write(`${JSON.stringify({ event, user, ...more })}\n`);
const clients = new Map();

function start(user, token, { url, namespace, page = false, options = {} }) {
  const client = new Centrifuge(url, {
    token,
    timeout: PATIENCE, // the machine may be busy with a thousand others
    minReconnectDelay: 20,
    maxReconnectDelay: 500,
    ...options,
  });
  const subscription = client.newSubscription(`${namespace}:#${user}`);
  client.on("connected", () => say("connected", user));
  client.on("disconnected", ({ code, reason }) => say("disconnected", user, { code, reason }));
  client.on("error", ({ error }) => say("error", user, { code: error.code, message: error.message }));
  const seen = new Set();
  let turn = Promise.resolve();
  const inOrder = (work) => (turn = turn.then(work).catch(() => {})); // cut off meanwhile: it subscribes again
  const take = ({ data, offset }) => {
    if (page && seen.has(data.id)) return;
    seen.add(data.id);
    say("message", user, { data, offset, at: Date.now() });
  };
  subscription.on("subscribed", ({ wasRecovering, recovered }) => {
    say("subscribed", user, { wasRecovering, recovered });
    if (page && !recovered)
      inOrder(async () => (await subscription.history({ limit: 300 })).publications.forEach(take));
  });
  subscription.on("error", ({ error }) => say("error", user, { code: error.code, message: error.message }));
  subscription.on("unsubscribed", ({ code, reason }) => say("unsubscribed", user, { code, reason }));
  // Under Node.js, several frames come in one turn, and the library hands on what is in them in turns
  // (_dataReceived, of centrifuge 5.7 and 5.8).
  const waiting = [];
  const takeAll = () => waiting.splice(0).sort((one, other) => one.offset - other.offset).forEach(take);
  subscription.on("publication", (publication) => {
    waiting.push(publication);
    setTimeout(() => inOrder(takeAll));
  });
  subscription.subscribe();
  client.connect();
  clients.set(user, { client, subscription });
}

const deeds = {
  connect: ({ client }) => client.connect(),
  disconnect: ({ client }) => client.disconnect(),
  history: async ({ subscription }, user) => {
    const { publications } = await subscription.history({ limit: -1 });
    say("history", user, { titles: publications.map(({ data }) => data.title) });
  },
};

let config = null;
for await (const line of createInterface({ input: process.stdin })) {
  const told = JSON.parse(line);
  if (config === null) {
    config = told;
    const people = Object.entries(told.tokens);
    for (let at = 0; at < people.length; at += TOGETHER) {
      const some = people.slice(at, at + TOGETHER);
      for (const [user, token] of some) start(user, token, config);
      if (people.length > TOGETHER) {
        await Promise.allSettled(some.map(([user]) => clients.get(user).subscription.ready(PATIENCE)));
      }
    }
  } else {
    for (const user of told.users) await deeds[told.do](clients.get(user), user);
  }
}
