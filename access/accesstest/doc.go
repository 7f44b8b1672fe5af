// Package accesstest has checkers for tests of what uses package access, and
// [Run], the conformance test for an application's own checkers.
//
// [RunAuthorizer] is that for authorizers. A checker made of a function is
// [access.CheckerFunc], and an authorizer [access.AuthorizerFunc].
package accesstest
