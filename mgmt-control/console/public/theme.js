// Sets the colours before anything is painted, so that a dark page does not flash white. It is a
// file of its own since the page's policy allows no script inside the document.
(function () {
  var chosen = null;
  try {
    chosen = localStorage.getItem('gridmart-theme');
  } catch {
    // Without storage the system's choice holds.
  }
  var dark = chosen === 'dark' || (chosen !== 'light' && matchMedia('(prefers-color-scheme: dark)').matches);
  document.documentElement.setAttribute('data-mantine-color-scheme', dark ? 'dark' : 'light');
})();
