// Questions to the server. An answer that is a refusal is thrown as the sentence that says why.
import { server } from "./gradio.js";

/** Identifies this page: what it waited for is dropped once it asks for another image. */
export const WHO = [...crypto.getRandomValues(new Uint8Array(8))].map((x) => x.toString(16).padStart(2, "0")).join("");

export class Refused extends Error {}

/** Calls an endpoint of the app by its name. Throws Refused with a sentence for the user. */
export async function ask(name, args) {
  const reply = await server.ask({ name, with: args || {} });
  if (reply === undefined || reply === null)
    throw new Refused("The app does not answer. Is it still running where it was started?");
  const answer = JSON.parse(reply);
  if ("error" in answer) throw new Refused(answer.error);
  return answer.ok;
}

/** At most one question of a kind is under way; of those asked meanwhile only the last is sent, the others get null. */
export function latest(name) {
  let flying = false;
  let next = null;
  async function pump() {
    flying = true;
    while (next) {
      const now = next;
      next = null;
      try {
        now.resolve(await ask(name, now.args));
      } catch (error) {
        now.reject(error);
      }
    }
    flying = false;
  }
  return (args) =>
    new Promise((resolve, reject) => {
      if (next) next.resolve(null);
      next = { args, resolve, reject };
      if (!flying) pump();
    });
}
