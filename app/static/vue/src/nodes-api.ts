// What the pages ask the site for about nodes; the shapes are those of /api/v1/openapi.json.
import { change, get } from "./api";

export type NodeState = "waiting" | "joined" | "revoked" | "left";

/** What became of a message to a node. */
export interface Outcome {
  at: number; // Unix seconds
  node: string;
  run: string;
  round: number;
  verb: string;
  seconds: number;
  down: number; // bytes to the node
  up: number; // and back
  failure: string;
}

export interface OwnersNode {
  id: number;
  name: string;
  owner: string; // empty: the account is gone
  mine: boolean;
  state: NodeState;
  online: boolean | null; // null: nobody knows
  online_since: string | null;
  version: string;
  about: string;
  fingerprint: string;
  tells: { counts: boolean; judges: boolean };
  created: string;
  changed: string;
  released: boolean; // Flower does not know it (any more)
  rounds: Outcome[];
}

export interface Flower {
  ready: boolean;
  reason: string;
  watched: boolean; // it is known which nodes are online
  public: string;
  version: string;
}

export interface OpenInvite {
  id: number;
  owner: string;
  expires: string;
}

export interface Nodes {
  flower: Flower;
  nodes: OwnersNode[];
  invites: OpenInvite[];
}

export const getNodes = (): Promise<Nodes> => get("/nodes");
export const inviteNode = async (asked: { owner: string; days: number }): Promise<string> => (await change<{ code: string }>("POST", "/nodes/invites", asked)).code;
export const withdrawInvite = (id: number): Promise<{ gone: boolean }> => change("DELETE", `/nodes/invites/${id}`);
export const actOnNode = (id: number, action: "approve" | "revoke" | "leave"): Promise<{ node: OwnersNode; trouble: string }> => change("POST", `/nodes/${id}/${action}`);
export const deleteNode = (id: number): Promise<{ gone: boolean }> => change("DELETE", `/nodes/${id}`);
