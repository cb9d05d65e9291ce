// Streamlit makes an entry of the history of every change of the address: a filter, a place in the queue. Here a page has one.
export default function () {
  if (window.lsiAddress) return;
  window.lsiAddress = true;
  const push = history.pushState.bind(history);
  history.pushState = (state, title, url) => {
    const stays = url != null && new URL(url, location.href).pathname === location.pathname;
    return stays ? history.replaceState(state, title, url) : push(state, title, url);
  };
}
