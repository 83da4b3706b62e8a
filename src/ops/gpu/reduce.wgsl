// Sums over the invocations of a workgroup, for kernels that define INVOCATIONS. This text is appended to theirs.

var<workgroup> partial: array<f32, INVOCATIONS>;

// Adds up one value from each invocation and returns the sum in all of them. Every invocation must call it.
fn sum(value: f32, index: u32) -> f32 {
    // Other invocations may still be reading the previous sum.
    workgroupBarrier();
    partial[index] = value;
    for (var half = INVOCATIONS / 2u; half > 0u; half /= 2u) {
        workgroupBarrier();
        if index < half {
            partial[index] += partial[index + half];
        }
    }
    workgroupBarrier();
    return partial[0];
}
