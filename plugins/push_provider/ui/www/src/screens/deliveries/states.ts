// In the order of a delivery's life.
export const DELIVERY_STATES = ["pending", "sending", "sent", "delivered", "failed", "unknown", "cancelled"];
