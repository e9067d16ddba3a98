// The page's own module, as `striate lab` serves it.
declare module "striate-page" {
  export const mount: typeof import("../main").mount
  export const VIEWS: typeof import("../main").VIEWS
}
