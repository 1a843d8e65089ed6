// The API key: for this tab, or, if its user wants it, for this browser.

const NAME = "pyserve-key";

export function readKey() {
  return sessionStorage.getItem(NAME) ?? localStorage.getItem(NAME) ?? "";
}

export function isKept() {
  return localStorage.getItem(NAME) !== null;
}

export function writeKey(key, keep) {
  sessionStorage.removeItem(NAME);
  localStorage.removeItem(NAME);
  if (key) (keep ? localStorage : sessionStorage).setItem(NAME, key);
}
