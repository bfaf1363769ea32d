/** Where the reader is: `#/rounds/<id>`, so that every view has an address of its own. */

export const route = $state({ path: [] as string[] });

function read(): void {
  route.path = location.hash.replace(/^#\/?/, "").split("/").filter(Boolean);
}

window.addEventListener("hashchange", read);
read();
