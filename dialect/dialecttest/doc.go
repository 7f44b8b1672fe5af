// Package dialecttest checks dialects: [Run] is the conformance test that each
// one must pass, and [RequireRequest] compares a request with a golden one.
package dialecttest
