// The colour of each run: that of what its student learnt from, or a dash of its own where two would have the same.

const MORE = 4; // dashes

/** The role and the title of each run, in their order. @param {import("./types.js").Record[]} runs */
export function looks(runs) {
  const taken = new Set();
  let more = 0;
  return runs.map((run) => {
    const free = run.lacks === "" && !taken.has(run.kind);
    const role = free ? run.kind : `more${1 + (more++ % MORE)}`;
    taken.add(role);
    return { run, role, title: short(run.id, runs) };
  });
}

/** The last part of an id, or all of it where another run has the same. */
function short(id, runs) {
  const name = (text) => text.split(" under ")[0].split("/").at(-1);
  return runs.filter((run) => name(run.id) === name(id)).length > 1 ? id : name(id);
}
