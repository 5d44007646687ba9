// A page that is loaded anew shows its panels before its line to the kernel stands, and what is sent then is lost.

const FIRST_MS = 2000;
const MOST_MS = 60_000; // a kernel that runs a cell hears all of them when it is done

/** Say hello now, and again, less and less often, until it was heard; what is returned ends that. */
export function greet(hello: () => void, isHeard: () => boolean): () => void {
  let pause = FIRST_MS;
  let timer: ReturnType<typeof setTimeout>;
  const say = (): void => {
    hello();
    timer = setTimeout(again, pause);
    pause = Math.min(2 * pause, MOST_MS);
  };
  const again = (): void => {
    if (!isHeard()) say();
  };
  say();
  return () => clearTimeout(timer);
}
