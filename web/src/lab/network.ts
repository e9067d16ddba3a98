// The network of the lab: what the editor says, what Python has answered last, and why it has refused.
import type { Finding, LabRecord, LiveNetwork, LivePage, PagePicture } from "../record"
import { Lost, Refused, request, type Source } from "./api"

export interface State {
  /** What the record is made of, once it is answered. */
  source: Source
  answer: LabRecord
  pictures: PagePicture[]
  network: LiveNetwork | undefined
  /** Why the source in the editor has no answer. */
  problem: Finding | undefined
  /** Whether the last answer is awaited. */
  busy: boolean
  /** Whether the server is gone. */
  lost: boolean
}

/** Asks for the network of a source; of several answers under way, the latest request wins. */
export class Network {
  private controller = new AbortController()
  private timer = 0

  constructor(
    public state: State,
    /** What is the same for all networks. */
    private readonly common: Partial<LivePage>,
    private readonly changed: () => void,
  ) {}

  /** Check a source after a pause of the typing. done: called with the answer. */
  check(source: Source, pause = 0, done?: (answer: LabRecord) => void): void {
    this.controller.abort()
    clearTimeout(this.timer)
    const controller = new AbortController()
    this.controller = controller
    this.set({ busy: true })
    this.timer = window.setTimeout(async () => {
      try {
        const answer = await request("record", source, controller)
        if (controller.signal.aborted) return
        this.set({ source, answer, pictures: [], network: undefined, problem: undefined, busy: false, lost: false })
        done?.(answer)
        const { pictures } = await request("pictures", { ...source, kinds: [] }, controller)
        if (!controller.signal.aborted) this.set({ pictures })
        const { network } = await request("views", source, controller)
        if (!controller.signal.aborted) this.set({ network })
      } catch (error) {
        if (controller.signal.aborted) return
        if (error instanceof Refused) {
          // Without pictures the rest of the answer stands.
          if (this.state.busy) this.set({ problem: error.problem, busy: false, lost: false })
        } else if (error instanceof Lost || error instanceof TypeError) this.set({ busy: false, lost: true })
        else throw error
      }
    }, pause)
  }

  /** What the views show. */
  get page(): LivePage {
    const { answer, pictures, network } = this.state
    return { ...this.common, ...answer.page, pictures, ...(network ? { network } : {}) }
  }

  private set(changes: Partial<State>): void {
    this.state = { ...this.state, ...changes }
    this.changed()
  }
}
