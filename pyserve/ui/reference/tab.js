// The document as a tab.

import { Reference } from "./page.js";

export class ReferenceView {
  constructor() {
    this.reference = new Reference("#api/");
    this.element = this.reference.element;
  }

  enter(id) {
    this.reference.goTo(id);
  }
}
