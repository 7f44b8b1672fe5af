// Package event has the names of what happens: the types of events and of questions, and
// the patterns by which a subscription chooses among them.
package event
