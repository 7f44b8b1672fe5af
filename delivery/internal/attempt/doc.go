// Package attempt holds what one attempt of a delivery is and what follows from it: its
// input ([Target]), the request with its answer as recorded ([Attempt]), what the answer
// means ([Classify]), and the next state of the delivery ([Transition]).
//
// It computes only: it sends nothing, reads no database, and knows neither package net nor
// pgx. Times and random numbers are arguments.
package attempt
