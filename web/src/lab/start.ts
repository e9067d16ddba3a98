// The module of `striate lab` alone: what stands next to the views, which come from the page's own module.
import "striate-experiment"
import { mount, VIEWS } from "striate-page"
import { startLab } from "."

const holder = document.querySelector<HTMLElement>("script[type='application/json'][data-striate-lab]")
if (holder) startLab(holder, mount, VIEWS)
