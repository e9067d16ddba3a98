// What an element is a call of in the built module.
export { Fragment, h } from "preact"
