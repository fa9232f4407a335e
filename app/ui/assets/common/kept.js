// What the browser keeps for the next visit. One that blocks site data, or has no room left, keeps it for this one.
const here = new Map();

// Null: nothing is kept by that name.
export const kept = (name) => {
  if (here.has(name)) return here.get(name);
  try { return localStorage.getItem(name); } catch { return null; }
};

// Null lets go of it.
export const keep = (name, text) => {
  here.delete(name);
  try {
    if (text === null) localStorage.removeItem(name);
    else localStorage.setItem(name, text);
  } catch {
    here.set(name, text);
  }
};
