// Questions to the server. An answer that is a refusal is thrown as the sentence that says why.
const WHO = [...crypto.getRandomValues(new Uint8Array(8))].map(x => x.toString(16).padStart(2, '0')).join('');

class Refused extends Error {}

async function ask(name, args) {
  const said = await server.ask({name, with: args || {}});
  if (said === undefined || said === null) throw new Refused('The app does not answer. Is it still running where it was started?');
  const answer = JSON.parse(said);
  if ('error' in answer) throw new Refused(answer.error);
  return answer.ok;
}

// At most one question of a kind is under way; of those asked meanwhile only the last is sent, the others get null.
function latest(name) {
  let flying = false, next = null;
  async function pump() {
    flying = true;
    while (next) {
      const now = next;
      next = null;
      try { now.resolve(await ask(name, now.args)); } catch (error) { now.reject(error); }
    }
    flying = false;
  }
  return args => new Promise((resolve, reject) => {
    if (next) next.resolve(null);
    next = {args, resolve, reject};
    if (!flying) pump();
  });
}
