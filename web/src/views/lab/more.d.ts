// The module that may stand in front of the page's own module, and what it is handed.
declare var striateMore: ((page: typeof import("../../shared")) => typeof import("./start")) | undefined
