// softmax(q · kᵀ / √d) · v within every sequence, for one head and four queries of one sequence per workgroup.
//
// The keys are processed in steps of LANES. In a step an invocation first takes one key, for the scores, then one column of the head,
// for the weighted sum of values. Sums are rescaled when a step has a larger score.
// Source: Dao et al., "FlashAttention", 2022, algorithm 1.

// Invocations in a workgroup, and keys in a step. At least as many as the head has columns.
const LANES = {{lanes}}u;
// Vectors of four columns in a head.
const HEAD = {{head}}u;
const QUERIES = 4u;
// Below every score. Finite, because infinities are not safe in WGSL.
const LOWEST = -3.0e38;
// Whether a query attends to no key after it.
const CAUSAL = {{causal}}u == 1u;
// Whether scores get a bias by the distance of the key from the query.
const BIAS = {{bias}}u == 1u;
// The index in `info` at which the jobs begin.
const JOBS = 8u;

@group(0) @binding(0) var<storage, read> query: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> key: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> value: array<f32>;
@group(0) @binding(3) var<storage, read_write> context: array<f32>;
// The number of heads, of jobs, and of heads of keys, each of which serves as many neighbouring heads of queries as the numbers divide; the rows of
// the bias, one or one for each head, and the rows of the longest sequence; where a row of the three matrices is one of the same buffer, the length
// of that row in vectors, and the position of keys and of values in it, else 0; then for each job the first of its four queries, the first row of its
// sequence, and the row past the last; then the bits of the bias, [rows, 2 * longest - 1].
@group(0) @binding(4) var<storage, read> info: array<u32>;

// [QUERIES, HEAD], scaled by 1 / √d.
var<workgroup> query_tile: array<vec4<f32>, QUERIES * HEAD>;
// Scores, then their exponentials: one vector of the four queries for each key of the step.
var<workgroup> weights: array<vec4<f32>, LANES>;

@compute @workgroup_size(LANES, 1, 1)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let heads = info[0];
    let job = group.y * groups.x + group.x;
    if job >= info[1] * heads {
        return;
    }
    let head = job % heads;
    let first_query = info[JOBS + job / heads * 3u];
    let first_key = info[JOBS + 1u + job / heads * 3u];
    let end = info[JOBS + 2u + job / heads * 3u];
    // None of the four queries attends to keys past the last of them.
    let last_key = select(end, min(end, first_query + QUERIES), CAUSAL);
    // The length of a row of the matrices, and the position of the head in it, both in vectors: of queries, and of keys and values.
    let width = heads * HEAD;
    let offset = head * HEAD;
    let is_joined = info[5] > 0u;
    let query_width = select(width, info[5], is_joined);
    let key_width = select(info[2] * HEAD, info[5], is_joined);
    let key_offset = head / (heads / info[2]) * HEAD;

    for (var i = lane; i < QUERIES * HEAD; i += LANES) {
        // Queries past the end repeat the last one, and their results are not written.
        let row = min(first_query + i / HEAD, end - 1u);
        query_tile[i] = query[row * query_width + offset + i % HEAD] * inverseSqrt(f32(HEAD * 4u));
    }

    var largest = vec4(LOWEST);
    var total = vec4(0.0);
    var sum = vec4(0.0);
    // Invocations past the last column read the last one, and write nothing.
    let column = min(lane, HEAD * 4u - 1u);
    let key_column = (info[7] + key_offset) * 4u + column;
    for (var step = first_key; step < last_key; step += LANES) {
        let keys = min(LANES, last_key - step);
        // Also orders the writes to query_tile before the first use.
        workgroupBarrier();
        if lane < keys {
            var score = vec4(0.0);
            let row = (step + lane) * key_width + info[6] + key_offset;
            for (var i = 0u; i < HEAD; i++) {
                let k = key[row + i];
                score += vec4(
                    dot(query_tile[i], k),
                    dot(query_tile[HEAD + i], k),
                    dot(query_tile[2u * HEAD + i], k),
                    dot(query_tile[3u * HEAD + i], k),
                );
            }
            let queries = vec4(first_query) + vec4(0u, 1u, 2u, 3u);
            if BIAS {
                // The index of the value for a key at the place of the query. Queries past the end read that of the last one.
                let row = select(head, 0u, info[3] == 1u) * (2u * info[4] - 1u) + info[4] - 1u;
                let at = JOBS + info[1] * 3u + row + step + lane - min(queries, vec4(end - 1u));
                score += vec4(
                    bitcast<f32>(info[at.x]),
                    bitcast<f32>(info[at.y]),
                    bitcast<f32>(info[at.z]),
                    bitcast<f32>(info[at.w]),
                );
            }
            weights[lane] = select(score, vec4(LOWEST), vec4(CAUSAL) & (vec4(step + lane) > queries));
        }
        workgroupBarrier();
        let previous = largest;
        for (var i = 0u; i < keys; i++) {
            largest = max(largest, weights[i]);
        }
        workgroupBarrier();
        if lane < keys {
            weights[lane] = exp(weights[lane] - largest);
        }
        workgroupBarrier();
        let shrink = exp(previous - largest);
        total *= shrink;
        sum *= shrink;
        for (var i = 0u; i < keys; i++) {
            let weight = weights[i];
            total += weight;
            sum += weight * value[(step + i) * key_width * 4u + key_column];
        }
    }

    if lane < HEAD * 4u {
        let mean = sum / total;
        let at = (first_query * width + offset) * 4u + column;
        let queries = end - first_query;
        context[at] = mean.x;
        if queries > 1u { context[at + width * 4u] = mean.y; }
        if queries > 2u { context[at + width * 8u] = mean.z; }
        if queries > 3u { context[at + width * 12u] = mean.w; }
    }
}
