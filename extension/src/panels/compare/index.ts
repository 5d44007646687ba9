import "./style.css";

export default {
  render({ el }: { el: HTMLElement }): void {
    el.classList.add("nbexp-panel");
  },
};
