// Small settings of this browser, as JSON in localStorage.

const PREFIX = "pyserve-";

export function read(name, fallback) {
  try {
    return JSON.parse(localStorage.getItem(PREFIX + name)) ?? fallback;
  } catch {
    return fallback;
  }
}

export function write(name, value) {
  try {
    localStorage.setItem(PREFIX + name, JSON.stringify(value));
  } catch {
    // Full or forbidden: the setting lasts as long as the page.
  }
}
