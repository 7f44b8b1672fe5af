package send

// Classify is classify for tests that need package deliverytest, which imports this one.
var Classify = classify
