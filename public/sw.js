// Shows what the pages were told while none of them can be seen. Every tab
// hands over what it hears; this one worker tells a browser once.
"use strict";

/** Keeps, for each person, the last seq that was handled: a worker forgets when it sleeps. */
const KEPT = "told";
const ICON =
  "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E" +
  "%3Crect width='16' height='16' rx='4' fill='%232f5bd0'/%3E" +
  "%3Cpath d='M4 6h8M4 10h4' stroke='white' stroke-width='1.6' stroke-linecap='round'/%3E%3C/svg%3E";

/** One at a time: two tabs hand over the same news at once. */
let turn = Promise.resolve();

self.addEventListener("install", () => self.skipWaiting());
self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));

self.addEventListener("message", (event) => {
  const news = JSON.parse(event.data);
  const act = { told, read }[news.kind];
  if (!act) return;
  turn = turn.then(() => act(news)).catch((error) => console.warn("not shown:", error));
  event.waitUntil(turn);
});

/** A notification came; shown unless another tab brought it or one of ours is seen. */
async function told({ who, seq, title, text, job }) {
  const kept = await caches.open(KEPT);
  const key = `/told/${encodeURIComponent(who)}`;
  const last = await kept.match(key);
  if (last && Number(await last.text()) >= seq) return;
  await kept.put(key, new Response(String(seq)));
  const tabs = await self.clients.matchAll({ type: "window", includeUncontrolled: true });
  if (tabs.some((tab) => tab.visibilityState === "visible")) return;
  const data = { who, seq, path: `/jobs/${job}` };
  await self.registration.showNotification(title, { body: text, tag: `${seq}`, icon: ICON, data });
}

/** Read on one tab or device is read on all. */
async function read({ who, up_to }) {
  for (const notice of await self.registration.getNotifications()) {
    if (notice.data?.who === who && notice.data.seq <= up_to) notice.close();
  }
}

// A tab that shows the job comes to the front; no other tab is led away from
// what someone may be filling in.
self.addEventListener("notificationclick", (event) => {
  event.notification.close();
  const path = event.notification.data?.path ?? "/inbox";
  const open = async () => {
    const tabs = await self.clients.matchAll({ type: "window", includeUncontrolled: true });
    const tab = tabs.find((tab) => new URL(tab.url).pathname === path);
    return tab ? tab.focus() : self.clients.openWindow(path);
  };
  event.waitUntil(open());
});
