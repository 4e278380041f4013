-- How much should be on each Host, and how much is to be made anew, counted with
-- every change: to count them when somebody asks reads every block there is.
ALTER TABLE host ADD COLUMN blocks INTEGER NOT NULL DEFAULT 0;
ALTER TABLE host ADD COLUMN block_bytes INTEGER NOT NULL DEFAULT 0;
UPDATE host SET
    blocks = (SELECT count(*) FROM block WHERE block.host = host.number),
    block_bytes = (SELECT coalesce(sum(payload_length), 0)
                   FROM block JOIN stripe ON stripe.number = block.stripe
                   WHERE block.host = host.number);

CREATE TRIGGER block_comes AFTER INSERT ON block BEGIN
    UPDATE host SET
        blocks = blocks + 1,
        block_bytes = block_bytes
            + (SELECT payload_length FROM stripe WHERE stripe.number = NEW.stripe)
    WHERE number = NEW.host;
END;
CREATE TRIGGER block_goes AFTER DELETE ON block BEGIN
    UPDATE host SET
        blocks = blocks - 1,
        block_bytes = block_bytes
            - (SELECT payload_length FROM stripe WHERE stripe.number = OLD.stripe)
    WHERE number = OLD.host;
END;
CREATE TRIGGER block_moves AFTER UPDATE OF host ON block BEGIN
    UPDATE host SET
        blocks = blocks - 1,
        block_bytes = block_bytes
            - (SELECT payload_length FROM stripe WHERE stripe.number = OLD.stripe)
    WHERE number = OLD.host;
    UPDATE host SET
        blocks = blocks + 1,
        block_bytes = block_bytes
            + (SELECT payload_length FROM stripe WHERE stripe.number = NEW.stripe)
    WHERE number = NEW.host;
END;

CREATE TABLE repair_tally (
    one       INTEGER PRIMARY KEY CHECK (one = 1),
    positions INTEGER NOT NULL
) STRICT;
INSERT INTO repair_tally SELECT 1, count(*) FROM repair;
CREATE TRIGGER repair_comes AFTER INSERT ON repair BEGIN
    UPDATE repair_tally SET positions = positions + 1;
END;
CREATE TRIGGER repair_goes AFTER DELETE ON repair BEGIN
    UPDATE repair_tally SET positions = positions - 1;
END;
