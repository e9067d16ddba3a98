// The page's own module, as `striate lab` serves it.
declare module "striate-page" {
  export const mount: typeof import("../main").mount
  export const VIEWS: typeof import("../main").VIEWS
}

// The experiment's module, which the page's own module looks for when it starts.
declare module "striate-experiment" {}
