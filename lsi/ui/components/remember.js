// Keeps a name in this browser for a year, so that a reload or another tab goes on under it. data: cookie, value, path.
export default function ({ data }) {
  document.cookie = `${data.cookie}=${encodeURIComponent(data.value)}; path=${data.path}; max-age=31536000; SameSite=Strict`;
}
