-- The door is made anew at every start (doors.sql), with whether its user owes a new password.
DROP FUNCTION IF EXISTS caller_of_session(uuid, double precision, text);
