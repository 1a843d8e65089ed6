// Where the server's paths are: pages are at its root or below /v1, maybe below a proxy's prefix.

// The path before all others, with a slash at its end. pathname: of a page.
export function rootOf(pathname) {
  return pathname.replace(/(v1\/?)?(docs)?$/, "").replace(/\/?$/, "/");
}

export const ROOT = globalThis.location === undefined ? "/" : rootOf(location.pathname);
export const API = `${ROOT}v1/`;

// The same with the host, as programs elsewhere need it; without a slash at its end.
export function apiUrl() {
  return `${location.origin}${ROOT}v1`;
}
