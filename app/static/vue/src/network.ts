// Networks as the site tells of them; the shapes are those of /api/v1/openapi.json.
export type Value = string | number | boolean | null | unknown[] | { [key: string]: unknown };

/** A layer of a network: where it stands in the conf, its options that have not their default, what it makes. */
export interface Layer {
  place: string;
  kind: string;
  about: string;
  options: Record<string, Value>;
  shape: number[];
  parameters: number;
}

/** What is known of a network without building it; null: not known. */
export interface Network {
  input: number[];
  tokens: number;
  scaled?: boolean;
  layers: Layer[] | null; // those of a residual before it, the output last
  parameters: number | null;
  bytes_of_update: number | null;
  bytes_of_training: number | null;
}
