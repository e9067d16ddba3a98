// The module of the experiment: it gives the view `lab` what it shows.
import { lab } from "../../shared"
import { Experiment } from "./experiment"

lab.Component = Experiment

export * as stimuli from "./stimuli"
export * as tuning from "./tuning"
