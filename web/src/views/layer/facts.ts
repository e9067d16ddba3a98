// What tests and other programs ask of a layer, without drawing it.
export { fixes } from "./fixes"
export { cost, parse, state, unread, write } from "./model"
export { notation, pytorch } from "./texts"
