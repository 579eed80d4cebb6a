// A key may come in the part of the address that is never sent; and who is signed in already need not do it again.
const form = document.getElementById("sign-in");

function enter() {
  const given = new URLSearchParams(location.hash.slice(1)).get("key");
  if (location.hash) history.replaceState(null, "", location.pathname + location.search);
  if (!given) return false;
  form.elements.key.value = given;
  form.requestSubmit();
  return true;
}

window.addEventListener("hashchange", enter);
if (!enter()) {
  // A link from another site comes without the cookie, by which that site could do things; this page's own request has it.
  const reply = await fetch("/console/session", { redirect: "manual" }).catch(() => null);
  if (reply?.status === 204) location.replace(form.dataset.next);
  else sessionStorage.clear(); // what whoever was here before has searched for
}
