// The browser's database: conversations, their messages, presets.

const NAME = "pyserve";
const VERSION = 1;
let opened = null;

function open() {
  opened ??= new Promise((resolve, reject) => {
    const request = indexedDB.open(NAME, VERSION);
    request.onupgradeneeded = () => upgrade(request.result);
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
  return opened;
}

function upgrade(database) {
  database.createObjectStore("conversations", { keyPath: "id" });
  const messages = database.createObjectStore("messages", { keyPath: "id" });
  messages.createIndex("conversation", "conversation");
  database.createObjectStore("presets", { keyPath: "name" });
}

function result(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

// Runs `work(stores)` in one transaction that writes; stores by name.
export async function write(names, work) {
  const database = await open();
  const transaction = database.transaction(names, "readwrite");
  const stores = Object.fromEntries(names.map((name) => [name, transaction.objectStore(name)]));
  work(stores);
  return new Promise((resolve, reject) => {
    transaction.oncomplete = () => resolve();
    transaction.onabort = () => reject(transaction.error);
  });
}

export async function put(name, ...records) {
  return write([name], (stores) => records.forEach((record) => stores[name].put(record)));
}

export async function all(name) {
  return result((await open()).transaction(name).objectStore(name).getAll());
}

export async function get(name, key) {
  return result((await open()).transaction(name).objectStore(name).get(key));
}

// The records whose `index` is `key`.
export async function allOf(name, index, key) {
  return result((await open()).transaction(name).objectStore(name).index(index).getAll(key));
}

// Deletes the records whose `index` is `key`, within a transaction.
export function deleteAllOf(store, index, key) {
  store.index(index).openKeyCursor(key).onsuccess = ({ target }) => {
    if (!target.result) return;
    store.delete(target.result.primaryKey);
    target.result.continue();
  };
}

// Calls `visit(record)` for each record until it gives false.
export async function each(name, visit) {
  const request = (await open()).transaction(name).objectStore(name).openCursor();
  return new Promise((resolve, reject) => {
    request.onerror = () => reject(request.error);
    request.onsuccess = () => {
      const cursor = request.result;
      if (!cursor || visit(cursor.value) === false) return resolve();
      cursor.continue();
    };
  });
}
