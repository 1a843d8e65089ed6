// A tab's settings, kept in the browser from one visit to the next.

import { read, write } from "./prefs.js";

export class Kept {
  // initial: what is not kept yet.
  constructor(name, initial) {
    this.name = name;
    this.value = { ...initial, ...read(name, {}) };
  }

  change(some) {
    this.value = { ...this.value, ...some };
    write(this.name, this.value);
  }
}
