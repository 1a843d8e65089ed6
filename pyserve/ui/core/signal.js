// A value that others watch.

export class Signal {
  #value;
  #watchers = new Set();

  constructor(value) {
    this.#value = value;
  }

  get value() {
    return this.#value;
  }

  set(value) {
    this.#value = value;
    for (const watch of this.#watchers) watch(value);
  }

  // Calls `watch(value)` now and after every change; the result ends it.
  watch(watch) {
    this.#watchers.add(watch);
    watch(this.#value);
    return () => this.#watchers.delete(watch);
  }
}
