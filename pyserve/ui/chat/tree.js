// A conversation as a tree: a turn that is edited or given again is a sibling of the first. Pure.

// Messages by id, and the ids that follow each; `null` has the first ones.
export class Tree {
  constructor(messages) {
    this.messages = new Map();
    this.children = new Map();
    const sorted = [...messages].sort((a, b) => a.created - b.created);
    sorted.forEach((message) => this.add(message));
  }

  add(message) {
    this.messages.set(message.id, message);
    const parent = message.parent ?? null;
    if (!this.children.has(parent)) this.children.set(parent, []);
    this.children.get(parent).push(message.id);
  }

  get(id) {
    return this.messages.get(id);
  }

  // The messages from the first to `leaf`. A parent that is missing begins it.
  pathTo(leaf) {
    const path = [];
    const seen = new Set();
    for (let id = leaf; this.messages.has(id) && !seen.has(id); id = this.messages.get(id).parent) {
      seen.add(id);
      path.push(this.messages.get(id));
    }
    return path.reverse();
  }

  // The ids that stand in a message's place, itself among them.
  siblings(id) {
    return this.children.get(this.messages.get(id)?.parent ?? null) ?? [];
  }

  // The newest message after `id`, following the newest of each.
  newestBelow(id) {
    let last = id;
    for (let next = this.children.get(id)?.at(-1); next; next = this.children.get(next)?.at(-1)) {
      last = next;
    }
    return last;
  }

  // Takes the message and all below it away; returns their ids.
  remove(id) {
    const removed = [];
    const open = [id];
    while (open.length) {
      const next = open.pop();
      removed.push(next);
      open.push(...(this.children.get(next) ?? []));
    }
    const parent = this.messages.get(id)?.parent ?? null;
    this.children.set(
      parent,
      (this.children.get(parent) ?? []).filter((one) => one !== id),
    );
    for (const one of removed) {
      this.messages.delete(one);
      this.children.delete(one);
    }
    return removed;
  }
}
