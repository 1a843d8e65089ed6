// Where the server's paths are: pages are at its root or below /v1, maybe below a proxy's prefix.

// The path before all others, with a slash at its end. pathname: of a page.
export function rootOf(pathname) {
  return pathname.replace(/(v1\/?)?(docs)?$/, "").replace(/\/?$/, "/");
}

export const ROOT = globalThis.location === undefined ? "/" : rootOf(location.pathname);
export const API = `${ROOT}v1/`;

// The same with the host, as programs elsewhere need it; without a slash at their ends.
export function serverUrl() {
  return location.origin + ROOT.slice(0, -1);
}

export function apiUrl() {
  return `${serverUrl()}/v1`;
}
