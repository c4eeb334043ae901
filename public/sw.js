// Shows notifications while no page is visible. Every tab posts the notifications that it
// receives; this worker shows each of them once per browser.
"use strict";

/** Cache with the last handled seq of each journal: a worker loses its memory when it is stopped. */
const CACHE_NAME = "shown-notifications";
const ICON =
  "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E" +
  "%3Crect width='16' height='16' rx='4' fill='%232f5bd0'/%3E" +
  "%3Cpath d='M4 6h8M4 10h4' stroke='white' stroke-width='1.6' stroke-linecap='round'/%3E%3C/svg%3E";

/** Messages are handled one at a time, because two tabs post the same notification at once. */
let pendingWork = Promise.resolve();

self.addEventListener("install", () => self.skipWaiting());
self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));

self.addEventListener("message", (event) => {
  const message = JSON.parse(event.data);
  const handlers = { notification: showNotification, notifications_read: closeReadNotifications };
  const handler = handlers[message.kind];
  if (!handler) return;
  pendingWork = pendingWork
    .then(() => handler(message))
    .catch((error) => console.warn("The notification was not handled:", error));
  event.waitUntil(pendingWork);
});

/** Shows a notification, unless another tab posted it already or a tab of this site is visible. */
async function showNotification({ journal, seq, title, text, job }) {
  const cache = await caches.open(CACHE_NAME);
  const key = `/shown-notifications/${encodeURIComponent(journal)}`;
  const lastShown = await cache.match(key);
  if (lastShown && Number(await lastShown.text()) >= seq) return;
  await cache.put(key, new Response(String(seq)));
  const tabs = await self.clients.matchAll({ type: "window", includeUncontrolled: true });
  if (tabs.some((tab) => tab.visibilityState === "visible")) return;
  const data = { journal, seq, path: `/jobs/${job}` };
  await self.registration.showNotification(title, { body: text, tag: `${seq}`, icon: ICON, data });
}

/** Closes notifications that were read in any tab or on any device. */
async function closeReadNotifications({ journal, up_to }) {
  for (const notification of await self.registration.getNotifications()) {
    if (notification.data?.journal === journal && notification.data.seq <= up_to) notification.close();
  }
}

// Focuses a tab that shows the job, or opens one. No other tab is navigated, because
// someone may be filling in a form there.
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
